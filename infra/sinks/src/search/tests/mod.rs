mod crash;
mod properties;
mod rebuilding;
mod seeding;
mod suggested;
mod suite;
pub(super) mod world;

use super::*;
