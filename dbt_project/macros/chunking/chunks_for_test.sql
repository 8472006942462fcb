{#- Rows as rag__chunks holds them, for a unit test, from dicts of the columns that matter to it. `row_hash` stands for
    an earlier state of the row where it is not given; `occurrence` tells chunks of the same text apart. -#}
{% macro chunks_for_test(rows) -%}
    {%- set columns = [
        'document_id', 'source_name', 'doc_type', 'title', 'url', 'chunk_index', 'section_path', 'chunk_text',
        'header_length', 'approx_tokens', 'payload', 'access', 'valid_from', 'valid_to', 'lifecycle_state',
        'is_demoted', 'source_updated_at', 'row_hash', 'chunking_policy', 'batch_id', 'dbt_invocation_id', 'is_deleted', 'occurrence',
    ] -%}
    {%- set values = {
        'source_name': '', 'doc_type': '', 'title': '', 'chunk_index': 0, 'section_path': '', 'chunk_text': '',
        'header_length': 0, 'approx_tokens': 4, 'payload': '{}', 'access': ['everyone'], 'lifecycle_state': 'active',
        'source_updated_at': '2026-01-01 00:00:00+00', 'row_hash': 'an earlier state',
        'chunking_policy': headrace.chunking_policy(), 'batch_id': 1,
        'dbt_invocation_id': 'an earlier run', 'is_deleted': 'false', 'is_demoted': 'false', 'occurrence': 1,
    } -%}
    select
        hashed.*,
        {{ headrace.hash(headrace.joined([
            'hashed.document_id', 'hashed.content_hash', 'cast(hashed.occurrence as ' ~ dbt.type_string() ~ ')'
        ])) }} as chunk_id
    from (
        select
            given.*,
            {{ headrace.hash('given.chunk_text') }} as content_hash
        from (
            {{ headrace.rows_for_test(rows, columns, values) }}
        ) as given
    ) as hashed
{%- endmacro %}
