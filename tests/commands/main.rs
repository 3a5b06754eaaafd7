//! The command line, as scripts see it: arguments and standard input in; standard output, standard
//! error and an exit code out.
mod groups;
mod klamm;
mod logs;
mod projections;
mod records;
mod samples;
mod topics;
mod transactions;
