//! Producing while things go wrong: every message has exactly one fate, and none is lost.

use std::time::{Duration, Instant};

use sitewatch_kafka::{Client, Delivery, KafkaError, Message, Producer};
use sitewatch_tests::{shared, wait::SOON};

use super::{PAIRS, TIMEOUT, all_delivered, mutual_tls, plain, produce, read_whole, topic, within};

/// Payloads that differ, so that one that comes back can be told from another.
fn payloads(count: u64, size: usize) -> Vec<Vec<u8>> {
    let padded = |n: u64| {
        let mut payload = n.to_string().into_bytes();
        payload.resize(size, b'.');
        payload
    };
    (0..count).map(padded).collect()
}

/// Each id once; what failed is whole. How many failed.
#[track_caller]
fn accounted_for(mut deliveries: Vec<Delivery>, payloads: &[Vec<u8>]) -> usize {
    deliveries.sort_by_key(|delivery| delivery.id);
    let ids: Vec<u64> = deliveries.iter().map(|delivery| delivery.id).collect();
    assert_eq!(ids, (0..payloads.len() as u64).collect::<Vec<_>>());
    let mut failed = 0;
    for (delivery, payload) in deliveries.iter().zip(payloads) {
        if let Err(undelivered) = &delivery.result {
            failed += 1;
            assert_eq!(&undelivered.payload, payload);
            assert_eq!(undelivered.key, b"key");
            let unreachable = matches!(undelivered.reason, KafkaError::Unreachable { .. });
            assert!(unreachable, "{:?}", undelivered.reason);
        }
    }
    failed
}

#[track_caller]
fn send_all(producer: &mut Producer, from: u64, payloads: &[Vec<u8>]) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for (id, payload) in (from..).zip(payloads) {
        producer.send(id, &Message::new(b"key", payload)).unwrap();
        deliveries.append(&mut producer.poll());
    }
    deliveries
}

#[test]
fn a_broker_that_dies_in_the_middle_loses_no_message() {
    for (client, version) in PAIRS {
        let kafka = shared::borrow_kafka(version);
        let topic = topic("dies", client, version);
        kafka.create_topic(&topic, 3);
        let mut producer = Producer::connect(&plain(client, &kafka.bootstrap(), &topic)).unwrap();
        let all = payloads(4000, 500);

        let mut deliveries = send_all(&mut producer, 0, &all[..2000]);
        kafka.kill();
        deliveries.extend(send_all(&mut producer, 2000, &all[2000..]));
        let begin = Instant::now();
        deliveries.extend(producer.finish(begin + Duration::from_secs(2)));

        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        let failed = accounted_for(deliveries, &all);
        assert!(failed >= 1000, "{failed} failed");
    }
}

#[test]
fn a_broker_that_goes_silent_does_not_hold_the_end_up() {
    for (client, version) in PAIRS {
        let kafka = shared::proxied_kafka(version);
        let topic = topic("silent", client, version);
        kafka.create_topic(&topic, 1);
        let settings = plain(client, &kafka.proxied_bootstrap(), &topic);
        let mut producer = Producer::connect(&settings).unwrap();
        kafka.proxy().stall();
        let all = payloads(100, 100);
        let mut deliveries = send_all(&mut producer, 0, &all);
        let begin = Instant::now();

        deliveries.extend(producer.finish(begin + Duration::from_secs(1)));

        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        assert_eq!(accounted_for(deliveries, &all), 100);
    }
}

#[test]
fn a_broker_that_comes_back_gets_everything() {
    for (client, version) in PAIRS {
        let kafka = shared::borrow_kafka(version);
        let topic = topic("comes-back", client, version);
        kafka.create_topic(&topic, 2);
        let settings = plain(client, &kafka.bootstrap(), &topic);
        let mut producer = Producer::connect(&settings).unwrap();
        let all = payloads(200, 100);

        let mut deliveries = send_all(&mut producer, 0, &all[..100]);
        kafka.stop();
        deliveries.extend(send_all(&mut producer, 100, &all[100..]));
        kafka.start_again();
        deliveries.extend(producer.finish(Instant::now() + TIMEOUT));

        assert_eq!(accounted_for(deliveries, &all), 0);
        let mut stored: Vec<_> = read_whole(&settings)
            .messages
            .into_iter()
            .map(|it| it.2)
            .collect();
        stored.sort();
        // A message whose acknowledgement was lost is there twice.
        stored.dedup();
        let mut sent = all;
        sent.sort();
        assert!(
            stored == sent,
            "{} of {} are stored",
            stored.len(),
            sent.len()
        );
    }
}

#[test]
fn a_full_queue_is_an_error_after_a_while_and_keeps_what_it_took() {
    for (client, version) in PAIRS {
        let kafka = shared::proxied_kafka(version);
        let topic = topic("full", client, version);
        kafka.create_topic(&topic, 1);
        let settings = plain(client, &kafka.proxied_bootstrap(), &topic);
        let mut producer = Producer::connect(&within(settings, Duration::from_secs(2))).unwrap();
        kafka.proxy().stall();
        let all = payloads(100, 900_000);

        let mut taken = 0;
        let error = loop {
            match producer.send(taken, &Message::new(b"key", &all[taken as usize])) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 99, "the queue has no bounds");
        };
        assert!(matches!(error, KafkaError::Timeout { .. }), "{error:?}");
        let deliveries = producer.finish(Instant::now());

        assert!(taken > 10, "{taken} taken");
        assert_eq!(
            accounted_for(deliveries, &all[..taken as usize]) as u64,
            taken
        );
    }
}

#[test]
fn a_message_that_is_too_large_fails_alone() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("too-large", client, version);
        kafka.create_topic_with(&topic, 1, &[("max.message.bytes", "20000")]);
        let mut settings = plain(client, &kafka.bootstrap(), &topic);
        if client == Client::Rdkafka {
            settings.options = [("compression.codec", "none"), ("batch.size", "15000")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        }
        let mut all = payloads(20, 100);
        all[7] = vec![b'x'; 50_000];

        let deliveries = produce(&settings, &all);

        let failed: Vec<&Delivery> = deliveries.iter().filter(|it| it.result.is_err()).collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0].id, 7);
        let undelivered = failed[0].result.as_ref().unwrap_err();
        assert!(
            undelivered.reason.to_string().contains("large"),
            "{}",
            undelivered.reason
        );
        assert_eq!(undelivered.payload, all[7]);
        assert_eq!(read_whole(&settings).messages.len(), 19);
    }
}

#[test]
fn requests_of_any_size_pass_through_tls() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("tls-sizes", client, version);
        kafka.create_topic(&topic, 1);
        let settings = plain(client, &kafka.ssl_bootstrap(), &topic);
        let settings = mutual_tls(settings, &kafka.certificate_dir());
        let begin = Instant::now();
        for (count, size) in [
            (100, 1000),
            (1, 16_000),
            (1, 17_000),
            (3, 100_000),
            (1, 900_000),
        ] {
            all_delivered(&produce(&settings, &payloads(count, size)), count);
        }
        assert!(begin.elapsed() < TIMEOUT, "{:?}", begin.elapsed());
        let sizes: usize = read_whole(&settings)
            .messages
            .iter()
            .map(|it| it.2.len())
            .sum();
        assert_eq!(sizes, 100_000 + 16_000 + 17_000 + 300_000 + 900_000);
    }
}

#[test]
fn one_message_is_flushed_in_milliseconds() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("flush", client, version);
        kafka.create_topic(&topic, 1);
        let settings = plain(client, &kafka.bootstrap(), &topic);
        let times: Vec<Duration> = (0..9)
            .map(|_| {
                let begin = Instant::now();
                let mut producer = Producer::connect(&settings).unwrap();
                producer.send(0, &Message::new(b"key", b"payload")).unwrap();
                all_delivered(&producer.finish(begin + TIMEOUT), 1);
                begin.elapsed()
            })
            .collect();
        // The trap is a wait of 100 ms each time; a busy machine takes its time now and then.
        let quickest = times.iter().min().unwrap();
        assert!(
            *quickest < Duration::from_millis(90),
            "{client:?} {times:?}"
        );
    }
}

#[test]
fn what_is_dropped_without_an_end_leaves_at_once() {
    for (client, version) in PAIRS {
        let kafka = shared::proxied_kafka(version);
        let topic = topic("dropped", client, version);
        kafka.create_topic(&topic, 1);
        let settings = plain(client, &kafka.proxied_bootstrap(), &topic);
        let mut producer = Producer::connect(&settings).unwrap();
        kafka.proxy().stall();
        producer.send(0, &Message::new(b"key", b"payload")).unwrap();
        let begin = Instant::now();

        drop(producer);

        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    }
}
