use millstream_config::{Endpoint, EndpointError, Secret};

use crate::account::Account;
use crate::{Athena, AwsError, Glue};

/// Athena's own, which every account has.
const WORKGROUP: &str = "primary";
/// The setting that a name given on the command line stands for.
const COMMAND_LINE: &str = "MILLSTREAM_CATALOG";

/// A Glue database and who may ask about it. Clones share connections.
///
/// Its URL is `glue://database`. Credentials come from where AWS's own tools take them: environment, profile, a role of
/// the instance, pod or task. Options:
///
/// | option | meaning |
/// |---|---|
/// | `region=eu-central-1` | else as AWS's tools find it |
/// | `workgroup=name` | Athena's; `primary` unless named |
/// | `profile=name` | of AWS's configuration files |
/// | `endpoint=http://host:port` | of another API than AWS's; `region` is `us-east-1` then unless named |
/// | `ca=file` | PEM of the authorities to be trusted, instead of the system's |
/// | `timeout=30` | seconds until a request counts as lost |
/// | `create=on` | makes the database where it is missing, and the tables and columns that workers need |
///
/// `glue://key@database` takes the access key's secret from the endpoint's password.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub(crate) database: String,
    pub(crate) workgroup: String,
    pub(crate) create: bool,
    pub(crate) account: Account,
}

impl Catalog {
    /// `key`: the setting, for messages. Checks the URL; nothing is asked before the first use.
    pub fn parse(key: &str, url: &str, password: Secret) -> Result<Self, AwsError> {
        let read = || {
            let mut endpoint = Endpoint::parse(key, url, password, 443)?;
            Self::take(&mut endpoint)
        };
        read().map_err(|EndpointError { key, why, remedy }| {
            AwsError::refused(format!("read {key}"), why, remedy)
        })
    }

    /// A database by its name alone, in the account that AWS's tools would take.
    pub fn named(database: &str) -> Self {
        Self {
            database: database.to_lowercase(),
            workgroup: WORKGROUP.to_owned(),
            create: false,
            account: Account::ambient(COMMAND_LINE),
        }
    }

    fn take(url: &mut Endpoint) -> Result<Self, EndpointError> {
        let shape = "write glue://database[?region=…]";
        if url.scheme != "glue" {
            return Err(url.refused(format!("{}:// is no catalog", url.scheme), shape));
        }
        let database = match url.hosts.as_slice() {
            [(database, 443)] if url.path.is_empty() => database.to_lowercase(),
            _ => return Err(url.refused("it names no single database", shape)),
        };
        let catalog = Self {
            database,
            workgroup: url.take("workgroup").unwrap_or_else(|| WORKGROUP.to_owned()),
            create: url.take_switch("create")?.unwrap_or(false),
            account: Account::take(url)?,
        };
        url.all_taken()?;
        Ok(catalog)
    }

    /// With another database; Glue knows lower case only.
    pub fn database(mut self, database: &str) -> Self {
        self.database = database.to_lowercase();
        self
    }

    /// With another workgroup.
    pub fn workgroup(mut self, workgroup: &str) -> Self {
        workgroup.clone_into(&mut self.workgroup);
        self
    }

    /// Its tables, partitions and crawlers.
    pub fn glue(&self) -> Glue {
        Glue::new(self.clone())
    }

    /// SQL on its tables.
    pub fn athena(&self) -> Athena {
        Athena::new(self.clone())
    }

    /// The region that is asked.
    pub async fn region(&self) -> Result<String, AwsError> {
        self.account.region().await
    }

    /// Where it is, for people to read.
    pub fn place(&self) -> String {
        format!("glue://{}", self.database)
    }

    /// What a policy calls a table of it, or the database itself for an empty name.
    pub(crate) fn resource(&self, table: &str) -> String {
        match table {
            "" => format!("arn:aws:glue:*:*:database/{}", self.database),
            table => format!("arn:aws:glue:*:*:table/{}/{table}", self.database),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, password: &str) -> Result<Catalog, AwsError> {
        Catalog::parse("stores.catalog", url, Secret::new(password))
    }

    #[test]
    fn a_url_says_where_and_how() {
        let plain = parse("glue://Millstream", "").unwrap();
        assert_eq!((plain.database.as_str(), plain.workgroup.as_str()), ("millstream", "primary"));
        assert!(!plain.create);
        let url = "glue://key@lake?region=eu-west-1&workgroup=ours&endpoint=http://127.0.0.1:4566&timeout=3&create=on";
        let catalog = parse(url, "hidden").unwrap();
        assert_eq!((catalog.workgroup.as_str(), catalog.create), ("ours", true));
        assert_eq!(catalog.place(), "glue://lake");
        assert_eq!(catalog.resource("t"), "arn:aws:glue:*:*:table/lake/t");
        assert!(!format!("{catalog:?}").contains("hidden"));
    }

    #[test]
    fn mistakes_are_named_with_the_setting() {
        for (url, expected) in [
            ("lake", "scheme"),
            ("s3://lake", "no catalog"),
            ("glue://a,b", "no single database"),
            ("glue://a/b", "no single database"),
            ("glue://lake?regoin=x", "\"region\""),
            ("glue://lake?timeout=0", "can't be 0"),
            ("glue://lake?create=maybe", "on or off"),
            ("glue://lake?endpoint=localhost", "no address"),
            ("glue://lake?endpoint=http://key:hidden@host", "leave them out"),
            ("glue://lake?ca=/nowhere/ca.pem", "ca=/nowhere/ca.pem"),
            ("glue://key@lake", "leave them out"),
        ] {
            let Err(error) = parse(url, "") else { panic!("{url} was taken") };
            let told = error.to_string();
            assert!(told.contains(expected) && told.contains("stores.catalog"), "{url}: {told}");
            assert!(!told.contains("hidden"), "{told}");
        }
    }
}
