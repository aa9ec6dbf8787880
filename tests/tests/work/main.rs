//! Databases and jobs.

mod db_call;
mod db_sqlx;
mod jobs;
