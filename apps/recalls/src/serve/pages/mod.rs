//! The pages, one file each, and the pieces they share.

mod guide;
mod home;
mod pieces;
mod recall;
mod results;
mod states;

pub use guide::guide;
pub use home::{home, key_figures};
pub use recall::recall;
pub use results::search;
pub use states::{feed_state, news};
