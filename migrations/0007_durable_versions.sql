-- expand: which version of a durable handle is written. A gateway of before leaves it empty, which means the newest.

alter table handle add column durable_version bigint;
