//! Whether the server is who it should be: the chain, and the name where that is asked for.
//!
//! Must not know: which parameter asks.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Checks signatures always, chain and name as it is told to.
#[derive(Debug)]
pub(super) struct ServerCertificate {
    pub(super) provider: Arc<CryptoProvider>,
    /// None: any name.
    pub(super) chain: Option<Arc<WebPkiServerVerifier>>,
    /// The root certificates themselves.
    pub(super) trusted: Vec<CertificateDer<'static>>,
    pub(super) named: bool,
}

impl ServerCertVerifier for ServerCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            if self.trusted.iter().any(|root| root == end_entity) {
                // A server that signed for itself, and whose certificate was given to us: its date is all
                // that is left to check.
                in_time(end_entity, now)?;
            } else {
                let verdict = chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
                // The chain is checked before the name, so a wrong name means that the chain was right.
                verdict.map(drop).or_else(|error| if is_name(&error) { Ok(()) } else { Err(error) })?;
            }
        }
        if self.named {
            check_name(end_entity, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_name(error: &Error) -> bool {
    let Error::InvalidCertificate(error) = error else { return false };
    matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}

fn parsed(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn in_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = parsed(certificate)?.tbs_certificate.validity;
    let now = now.as_secs();
    if now > validity.not_after.to_unix_duration().as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    if now < validity.not_before.to_unix_duration().as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    Ok(())
}

/// The names that a certificate was made out to; where it has none of the host's kind, its common name
/// counts, as in libpq.
fn check_name(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), Error> {
    let verdict = verify_server_name(&ParsedCertificate::try_from(certificate)?, host);
    let Err(error) = verdict else { return Ok(()) };
    let wanted = host.to_str();
    match common_name(&parsed(certificate)?, host) {
        Some(name) if is_name(&error) && fits(&name, &wanted) => Ok(()),
        _ => Err(error),
    }
}

fn common_name(certificate: &Certificate, host: &ServerName<'_>) -> Option<String> {
    let certificate = &certificate.tbs_certificate;
    let names = certificate.get::<SubjectAltName>().ok()?.map_or_else(Vec::new, |(_, names)| names.0);
    let same_kind = |name: &GeneralName| match host {
        ServerName::IpAddress(_) => matches!(name, GeneralName::IpAddress(_)),
        _ => matches!(name, GeneralName::DnsName(_)),
    };
    if names.iter().any(same_kind) {
        return None;
    }
    let mut parts = certificate.subject.0.iter().flat_map(|part| part.0.iter());
    // 2.5.4.3 is commonName (X.520).
    let value = &parts.rfind(|part| part.oid.to_string() == "2.5.4.3")?.value;
    let text = value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned());
    text.or_else(|_| value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned())).ok()
}

/// `*.example.com` stands for one label.
fn fits(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    let wild = name.strip_prefix('*').filter(|rest| rest.starts_with('.') && rest.len() > 2);
    match wild.and_then(|rest| host.strip_suffix(rest)) {
        Some(label) => !label.is_empty() && !label.contains('.'),
        None => name == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(fits("*.Example.com", "db.example.COM"));
        assert!(!fits("*.example.com", "a.db.example.com"));
        assert!(!fits("*.example.com", ".example.com"));
        assert!(!fits("*", "db") && !fits("*.", "db."));
        assert!(fits("db", "db") && !fits("db", "db2"));
    }
}
