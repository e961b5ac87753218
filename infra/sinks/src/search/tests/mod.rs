mod asking;
mod crash;
mod properties;
mod rebuilding;
mod seeding;
mod speed;
mod suite;
pub(super) mod world;

use super::*;
