//! Questions to Apache Kafka and to klamm.
mod both;
mod configs;
mod producers;
mod topics;
