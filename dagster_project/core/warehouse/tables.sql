create schema if not exists headrace_ops;
create table if not exists headrace_ops.raw_documents (
    document_id text primary key,
    source_name text not null,
    doc_type text not null,
    title text not null,
    body text not null,
    url text,
    owner text,
    language text,
    valid_from date,
    valid_to date,
    version_family text,
    version_date date,
    review_by date,
    access text[] not null,
    payload text not null,
    source_updated_at timestamptz not null,
    is_deleted boolean not null default false
);
-- Only where it is missing: to alter a table waits for every transaction that has written to it.
do $$ begin
    if not exists (
        select from pg_attribute
        where attrelid = 'headrace_ops.raw_documents'::regclass and attname = 'fingerprint'
    ) then
        alter table headrace_ops.raw_documents add column fingerprint text;
    end if;
end $$;
create table if not exists headrace_ops.quarantine (
    found_in text not null,
    document_id text not null,
    chunk_id text not null default '',
    reason text not null,
    model_id text not null default '',
    quarantined_at timestamptz not null default now(),
    primary key (found_in, document_id, chunk_id, model_id)
);
create table if not exists headrace_ops.sync_ledger (
    generation text not null,
    batch_id bigint not null,
    after_batch_id bigint,
    dbt_invocation_id text,
    model_id text not null,
    source_watermark timestamptz,
    rows_added bigint not null,
    rows_changed bigint not null,
    rows_payload_only bigint not null,
    rows_deleted bigint not null,
    rows_unchanged bigint not null,
    rows_embedded bigint not null,
    rows_reused bigint not null,
    rows_quarantined bigint not null,
    read_seconds double precision not null,
    embed_seconds double precision not null,
    write_seconds double precision not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    check_seconds double precision,
    publish_seconds double precision,
    published_version bigint,
    published_at timestamptz,
    primary key (generation, batch_id)
);
create table if not exists headrace_ops.published_documents (
    generation text not null,
    batch_id bigint not null,
    document_id text not null,
    source_name text not null,
    source_updated_at timestamptz not null,
    chunked_at timestamptz not null,
    embedded_at timestamptz not null,
    published_at timestamptz not null,
    is_backfill boolean not null,
    primary key (generation, batch_id, document_id)
);
create index if not exists published_documents_published_at
on headrace_ops.published_documents (published_at);
create table if not exists headrace_ops.source_marks (
    source_id text primary key,
    read_mark text not null,
    read_at timestamptz not null,
    seen_mark text,
    seen_at timestamptz
);
create table if not exists headrace_ops.gold_answers (
    generation text not null,
    version bigint not null,
    gold_set text not null,
    question_id text not null,
    question text not null,
    doc_type text not null,
    rank bigint,
    ndcg_at_10 double precision,
    recall_at_5 double precision,
    recall_at_10 double precision,
    mrr_at_10 double precision,
    facts bigint not null,
    facts_missing text not null,
    must_not_found text not null,
    evaluated_at timestamptz not null,
    primary key (generation, version, gold_set, question_id)
);
