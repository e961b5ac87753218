mod suite;

use super::*;
