//! TLS as libpq means it: `require` encrypts without asking who answers, a root certificate asks who signed
//! the answer, and `verify-full` also whom it names (manual, 34.19 "SSL Support").
//!
//! Must not know: where the parameters came from.

mod server_certificate;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::params::{Roots, TlsParams, Verify, Versions};
use server_certificate::ServerCertificate;

/// What a server asks for that speaks TLS from the first byte on; others do not mind.
const PROTOCOL: &[u8] = b"postgresql";

/// A connector that checks as much as the parameters say.
pub(super) fn connector(params: &TlsParams) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(params.versions))
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(server_certificate(params, provider)?));
    let mut config = match &params.own {
        Some((certificate, key)) => {
            check_key_file(key)?;
            let key_of = |error| format!("cannot read sslkey {}: {error}", key.display());
            let private = PrivateKeyDer::from_pem_file(key).map_err(key_of)?;
            let both = builder.with_client_auth_cert(certificates("sslcert", certificate)?, private);
            both.map_err(|error| format!("cannot use sslcert {}: {error}", certificate.display()))?
        }
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = params.sni;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn versions(versions: Versions) -> Vec<&'static SupportedProtocolVersion> {
    match versions {
        Versions::All => vec![&TLS13, &TLS12],
        Versions::Only12 => vec![&TLS12],
        Versions::Only13 => vec![&TLS13],
    }
}

fn certificates(parameter: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("cannot read {parameter} {}: {error}", file.display());
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| unreadable(&error))?;
    if found.is_empty() { Err(unreadable(&"there is no certificate in it")) } else { Ok(found) }
}

/// As libpq has it: the key is ours alone, or root's and readable to our group.
fn check_key_file(key: &Path) -> Result<(), String> {
    let data =
        std::fs::metadata(key).map_err(|error| format!("cannot read sslkey {}: {error}", key.display()))?;
    let mode = data.permissions().mode() & 0o777;
    let others = mode & if data.uid() == 0 { 0o037 } else { 0o077 };
    if data.is_file() && others == 0 {
        return Ok(());
    }
    Err(format!(
        "private key file {} has mode {mode:04o}, so others can read it; it needs chmod 600",
        key.display()
    ))
}

fn server_certificate(
    params: &TlsParams,
    provider: Arc<CryptoProvider>,
) -> Result<ServerCertificate, String> {
    let named = params.verify() == Verify::AuthorityAndName;
    let trusted = match &params.roots {
        Roots::Nobody => return Ok(ServerCertificate { provider, chain: None, trusted: vec![], named }),
        Roots::System => rustls_native_certs::load_native_certs().certs,
        Roots::File(file) => certificates("sslrootcert", file)?,
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(trusted.iter().cloned());
    let mut chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone());
    if let Some(file) = &params.revoked {
        let lists = CertificateRevocationListDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("cannot read sslcrl {}: {error}", file.display()))?;
        chain = chain.with_crls(lists);
    }
    let chain = chain.build().map_err(|error| format!("no root certificate can be used: {error}"))?;
    Ok(ServerCertificate { provider, chain: Some(chain), trusted, named })
}
