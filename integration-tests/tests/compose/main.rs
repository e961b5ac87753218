//! The whole on one machine: `infra/images/compose.yaml` is what it says, and the commands of
//! `docs/deploy-compose.md` bring it up and show rows.

#![cfg(test)]

mod shape;
mod together;
