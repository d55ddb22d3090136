-- $1 the topic, $2 the partitions, $3 where the batch begins and $4 ends in each, $5 the topic's id or
-- null.
with part as (
    select * from unnest($2, $3, $4) as part (partition, from_offset, to_offset)
),
-- In the partitions' order, whatever the plan: two drains on the same ones wait for each other and do
-- not lock each other out.
locked as (
    select partition
    from kafka_offsets
    where topic = $1 and partition = any ($2)
    order by partition
    for update
)
update kafka_offsets as stored set next_offset = to_offset, updated_at = now()
from locked
join part using (partition)
where stored.topic = $1 and stored.partition = part.partition
    and stored.next_offset = from_offset
    and ($5::text is null or stored.topic_id = $5)
returning stored.partition
