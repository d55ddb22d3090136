-- What nobody took is found without reading all that was ever told: by `report`, and by people.

create index notifications_not_sent_index on notifications (id) where sent_at is null;
