//! The word that a person probably meant.
//!
//! Must not know: what the words are for.

/// The known word nearest to `typo`; none when all are too far to be a slip of the finger. The case of
/// letters does not count, so a hint can also say that only the case is wrong.
#[must_use]
pub fn did_you_mean<'a>(typo: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typo = typo.to_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&typo, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= allowed(&typo, word))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// One slip in three characters: `tabel` is `table`, but `id` is not `at`.
fn allowed(typo: &str, word: &str) -> usize {
    typo.chars().count().max(word.chars().count()) / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_letters_swapped_are_found() {
        assert_eq!(did_you_mean("tabel", ["set", "table"]), Some("table"));
    }

    #[test]
    fn a_difference_of_case_is_found() {
        assert_eq!(did_you_mean("Status", ["status"]), Some("status"));
    }

    #[test]
    fn a_different_word_is_not_a_slip() {
        assert_eq!(did_you_mean("id", ["at", "email", "status"]), None);
        assert_eq!(did_you_mean("", ["a"]), None);
    }
}
