use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority of the test's own and certificates by it, as PEM.
pub struct Certificates {
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Certificate {
    pub certificate: String,
    /// PKCS#8.
    pub key: String,
}

impl Certificates {
    #[allow(clippy::new_without_default, reason = "makes keys")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Millstream test authority");
        let key = KeyPair::generate().expect("make a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("sign the authority");
        Self { authority }
    }

    /// The authority's own certificate.
    pub fn ca(&self) -> String {
        self.authority.pem()
    }

    /// For a server or client that goes by `names` (host names or addresses).
    pub fn of(&self, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().expect("make a key");
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("well-formed names");
        params.distinguished_name.push(rcgen::DnType::CommonName, names[0].clone());
        let signed = params.signed_by(&key, &self.authority).expect("sign a certificate");
        Certificate { certificate: signed.pem(), key: key.serialize_pem() }
    }
}
