//! An app's settings: its shipped defaults, under the user's file, under the environment.
//!
//! The defaults are the text of `<app>.toml`, and that text is the schema: it names every setting, its
//! type is the default's type, its meaning the comment beside it. Whatever names a setting the defaults
//! don't have is a typo and is refused, and all problems are told at once.
//!
//! # Layout
//!
//! - [`Settings`]: the layers put together; sections read by type, values asked for their [`Origin`]
//! - [`Problem`], [`Problems`]: what is wrong with which key, where it says so, what was expected
//! - [`Secret`]: a text that isn't shown
//! - [`Endpoint`]: a server's URL, with its options; [`AwsAccess`]: those of AWS's services;
//!   [`Finding`]: how what a setting names was found to be
//! - `setting`: one setting with its default, its type and the comment that explains it
//! - `defaults`, `file`, `environment`: the three layers, lowest first
//! - `nearest`: what a misspelt key was meant to be
//!
//! # Environment
//!
//! `poll.every_s` of the app `weather` is `WEATHER_POLL__EVERY_S`: the app, one underscore, then the key in
//! capitals with two underscores between levels; a dash becomes an underscore. The default's type says how
//! the value is read; the elements of an array are separated by commas.
//!
//! A variable is ours when it begins with the app's name and then names a setting, or holds two underscores,
//! or is within one letter of a top-level setting. The last two are refused as typos when they
//! name none. All others, such as `WEATHER_HOME`, belong to somebody else and are passed over.

mod aws;
mod defaults;
mod endpoint;
mod environment;
mod file;
mod finding;
mod nearest;
mod origin;
mod problem;
mod secret;
mod setting;
mod settings;

pub use aws::AwsAccess;
pub use endpoint::{Endpoint, EndpointError, Tls};
pub use finding::{Finding, Health};
pub use origin::Origin;
pub use problem::{Problem, Problems};
pub use secret::Secret;
pub use settings::{Row, Settings};
/// A setting's value, for [`Settings::set`].
pub use toml::Value;
