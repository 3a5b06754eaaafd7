//! Questions to Apache Kafka and to klamm.
