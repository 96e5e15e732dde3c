// @generated automatically by Diesel CLI.

pub mod aqueduct {
    diesel::table! {
        aqueduct.dead_letters (id) {
            id -> Int8,
            pipeline -> Text,
            topic -> Text,
            topic_id -> Uuid,
            partition -> Int4,
            record_offset -> Int8,
            stage -> Text,
            reason -> Text,
            sqlstate -> Nullable<Text>,
            table_name -> Nullable<Text>,
            key -> Nullable<Bytea>,
            payload -> Nullable<Bytea>,
            headers -> Jsonb,
            record_timestamp -> Nullable<Timestamptz>,
            failed_at -> Timestamptz,
            attempts -> Int4,
        }
    }

    diesel::table! {
        aqueduct.offsets (pipeline, topic, partition) {
            pipeline -> Text,
            topic -> Text,
            partition -> Int4,
            topic_id -> Uuid,
            epoch -> Int8,
            next_offset -> Int8,
            owner -> Text,
            backend_pid -> Int4,
            consumed -> Int8,
            applied -> Int8,
            filtered -> Int8,
            dead -> Int8,
            skipped -> Int8,
            claimed_at -> Timestamptz,
            updated_at -> Timestamptz,
        }
    }

    diesel::table! {
        aqueduct.row_counts (pipeline, topic, partition, table_name) {
            pipeline -> Text,
            topic -> Text,
            partition -> Int4,
            table_name -> Text,
            inserted -> Int8,
            updated -> Int8,
            unchanged -> Int8,
            superseded -> Int8,
        }
    }

    diesel::table! {
        aqueduct.skips (id) {
            id -> Int8,
            pipeline -> Text,
            topic -> Text,
            partition -> Int4,
            topic_id -> Uuid,
            skipped_from -> Int8,
            new_topic_id -> Uuid,
            skipped_to -> Int8,
            num_records -> Int8,
            num_uncounted_offsets -> Nullable<Int8>,
            reason -> Text,
            skipped_by -> Text,
            skipped_at -> Timestamptz,
        }
    }

    diesel::table! {
        aqueduct.stops (pipeline, topic, partition) {
            pipeline -> Text,
            topic -> Text,
            partition -> Int4,
            reason -> Text,
            lost_from -> Int8,
            lost_to -> Nullable<Int8>,
            log_end -> Nullable<Int8>,
            found -> Text,
            stopped_at -> Timestamptz,
        }
    }

    diesel::allow_tables_to_appear_in_same_query!(dead_letters, offsets, row_counts, skips, stops,);
}
