-- The column that differs comes first: heads of one source differ in nothing else, so that a step down the index compares one
-- text where it compared three. One lock from the start: what reads heads and then writes them would meet a stronger one halfway.
alter table bronze.heads
    drop constraint heads_pkey,
    add constraint heads_pkey primary key (external_id, source_system, entity_type);
