//! Authorities, and certificates of servers and people, made for one test.
//!
//! Must not know: who shows them to whom.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// The number of the certificate that the list of the revoked names.
const REVOKED: u64 = 42;

/// Writes into `dir`: `ca.crt` and a stranger's `other.crt`; for the server `good`, `expired`, `common`,
/// `own`; for people `client` and `late`, each with its key; and `revoked.crl`, which names `good`, beside
/// `none.crl`, which names nobody.
pub(super) fn make(dir: &Path) {
    let issuer = authority(dir, "ca");
    authority(dir, "other");
    let mut good = certificate("server", &["localhost"]);
    good.serial_number = Some(SerialNumber::from(REVOKED));
    sign(dir, "good", &good, &issuer);
    let mut expired = certificate("server", &["localhost"]);
    (expired.not_before, expired.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    sign(dir, "expired", &expired, &issuer);
    sign(dir, "common", &certificate("localhost", &[]), &issuer);
    // As `openssl req -x509` makes them: an authority of its own.
    let mut own = certificate("localhost", &["localhost"]);
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    write(dir, "own", &own.self_signed(&key).unwrap().pem(), &key);
    sign(dir, "client", &certificate("cert", &[]), &issuer);
    let mut late = certificate("cert", &[]);
    (late.not_before, late.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    sign(dir, "late", &late, &issuer);
    let list = |revoked_certs| CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2090, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(REVOKED),
        revocation_time: date_time_ymd(2021, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    for (name, revoked_certs) in [("revoked.crl", vec![revoked]), ("none.crl", vec![])] {
        fs::write(dir.join(name), list(revoked_certs).signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
    }
}

fn certificate(common_name: &str, hosts: &[&str]) -> CertificateParams {
    let names: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn authority(dir: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let mut params = certificate(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    write(dir, name, &params.self_signed(&key).unwrap().pem(), &key);
    Issuer::new(params, key)
}

fn sign(dir: &Path, name: &str, params: &CertificateParams, issuer: &Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    write(dir, name, &params.signed_by(&key, issuer).unwrap().pem(), &key);
}

fn write(dir: &Path, name: &str, certificate: &str, key: &KeyPair) {
    fs::write(dir.join(format!("{name}.crt")), certificate).unwrap();
    let file = dir.join(format!("{name}.key"));
    fs::write(&file, key.serialize_pem()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}
