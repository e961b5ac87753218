mod asking;
mod crash;
mod properties;
mod rebuilding;
mod seeding;
mod suite;
pub(super) mod world;

use super::*;
