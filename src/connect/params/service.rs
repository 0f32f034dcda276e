//! Service files: names for whole sets of parameters (manual, 34.17 "The Connection Service File").
//!
//! Must not know: what a parameter means.

use std::path::{Path, PathBuf};

use super::environment::{Lookup, home_directory};
use super::error::ParamsError;
use super::text::Words;

/// Where packagers have put the system's file; PGSYSCONFDIR says it better.
const SYSTEM_DIRS: [&str; 3] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/usr/local/pgsql/etc"];

/// The parameters of a service: from the person's file, else from the system's.
pub(super) fn read(name: &str, environment: Lookup<'_>) -> Result<Words, ParamsError> {
    let named = environment("PGSERVICEFILE").map(PathBuf::from);
    // A file that was named has to be there; those in their usual places need not.
    let own = named.clone().or_else(|| home_directory(environment).map(|home| home.join(".pg_service.conf")));
    let system_dir = environment("PGSYSCONFDIR").map(PathBuf::from);
    let system_dirs = system_dir.map_or_else(|| SYSTEM_DIRS.map(PathBuf::from).to_vec(), |dir| vec![dir]);
    let system = system_dirs.into_iter().map(|dir| dir.join("pg_service.conf"));
    for file in own.into_iter().chain(system).filter(|file| named.as_ref() == Some(file) || file.exists()) {
        let unreadable = |error: std::io::Error| fault(&file, &error.to_string());
        let text = std::fs::read_to_string(&file).map_err(unreadable)?;
        if let Some(found) = section(&text, name).map_err(|what| fault(&file, &what))? {
            return Ok(found);
        }
    }
    Err(ParamsError::Service(format!("no service file has a section [{name}]")))
}

fn fault(file: &Path, what: &str) -> ParamsError {
    ParamsError::Service(format!("service file {}: {what}", file.display()))
}

/// The first section of that name, if there is one.
fn section(text: &str, name: &str) -> Result<Option<Words>, String> {
    let header = format!("[{name}]");
    let mut found: Option<Words> = None;
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            if found.is_some() {
                break;
            }
            found = line.starts_with(&header).then(Words::new);
        } else if let Some(words) = &mut found {
            let at = number + 1;
            match line.split_once('=') {
                Some(("service", _)) => return Err(format!("line {at} names another service")),
                // The first of two wins, as in libpq.
                Some((key, value)) => words.entry(key.to_owned()).or_insert_with(|| value.to_owned()),
                None => return Err(format!("line {at} is not of the form name=value")),
            };
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# ours\n[test]\nhost=here\n\n  [prod]  \nhost=there\n port=1\nhost=late\n[prod]\nhost=x\n";

    #[test]
    fn the_first_section_of_the_name_is_taken() {
        let prod = section(FILE, "prod").unwrap().unwrap();
        assert_eq!((prod["host"].as_str(), prod["port"].as_str()), ("there", "1"));
        assert_eq!(section(FILE, "other"), Ok(None));
    }

    #[test]
    fn a_line_that_is_no_parameter_is_named_but_not_shown() {
        let error = section("[a]\npassword hunter2\n", "a").unwrap_err();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
        assert!(section("[a]\nservice=b\n", "a").is_err());
        assert!(section("[b]\nnonsense\n[a]\n", "a").is_ok());
    }
}
