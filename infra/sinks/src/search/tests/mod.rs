mod asking;
mod crash;
mod properties;
mod rebuilding;
mod seeding;
mod speed;
mod suite;
mod world;

use super::*;
