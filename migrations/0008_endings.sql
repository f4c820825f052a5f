-- expand: who or what ended contexts, sessions and batches, beside the cause for people: a person ({"user": …, "via": …}) or a clock
-- ({"clock": …}). Null: nobody did, the cause says how. A gateway of before writes none.

alter table context add column ended_by jsonb;
alter table session add column ended_by jsonb;
alter table batch add column ended_by jsonb;

-- By its name a context is found after its end, too.
create index context_by_name on context (tenant, name, created_at desc) where name is not null;
