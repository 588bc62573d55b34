//! frame
#![allow(dead_code)]
mod json;
mod schema;
