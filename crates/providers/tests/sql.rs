//! The contract of databases: one suite, against all that keep them.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "sql/desk.rs"]
mod desk;

#[path = "sql/answers.rs"]
mod answers;
#[path = "sql/bounds.rs"]
mod bounds;
#[path = "sql/fences.rs"]
mod fences;
#[path = "sql/files.rs"]
mod files;
#[path = "sql/models.rs"]
mod models;
#[path = "sql/speed.rs"]
mod speed;
#[path = "sql/straight.rs"]
mod straight;
