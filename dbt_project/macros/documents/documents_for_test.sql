{#- Rows of documents for a unit test, from dicts of the columns that matter to it; the others are empty. `more` names columns
    beside the contract's. Their text came with their batch and they are served where they are in force, unless a dict
    says otherwise. -#}
{% macro documents_for_test(rows, more=[]) -%}
    {%- for row in rows -%}
        {%- do row.setdefault('text_batch_id', row.get('batch_id')) -%}
        {%- do row.setdefault('serving', 'full' if row.get('lifecycle_state') in ['active', 'stale'] else 'none') -%}
    {%- endfor -%}
    {%- set values = {
        'title': '', 'body': '', 'payload': '{}', 'source_name': '', 'doc_type': '', 'access': ['everyone'],
        'is_deleted': 'false', 'source_updated_at': '2026-01-01 00:00:00+00', 'document_model': 'doc_ingested',
        'document_bucket': 0,
    } -%}
    {%- set columns = headrace.document_columns() + ['document_model', 'document_bucket'] + more -%}
    {{ headrace.rows_for_test(rows, columns | unique | list, values) }}
{%- endmacro %}

{#- Rows of `columns`, from dicts; what a dict leaves out is in `values`, or null. Columns have the types that the
    package gives to their names, text where it gives none. -#}
{% macro rows_for_test(rows, columns, values) -%}
    {%- set types = {
        'valid_from': 'date', 'valid_to': 'date', 'version_date': 'date', 'review_by': 'date',
        'source_updated_at': headrace.type_timestamp() | trim, 'is_deleted': dbt.type_boolean(),
        'is_demoted': dbt.type_boolean(),
        'access': headrace.type_text_array() | trim, 'batch_id': dbt.type_bigint(), 'text_batch_id': dbt.type_bigint(),
        'document_bucket': dbt.type_int(), 'chunk_index': dbt.type_int(), 'header_length': dbt.type_int(), 'approx_tokens': dbt.type_int(),
        'occurrence': dbt.type_int(),
    } -%}
    {%- for row in rows %}
    select
        {%- for column in columns %}
        {%- set value = row.get(column, values.get(column)) %}
        {% if value is none -%}
        cast(null as {{ types.get(column, dbt.type_string()) }})
        {%- elif column == 'access' -%}
        {{ headrace.literal_array(value) }}
        {%- else -%}
        cast({{ dbt.string_literal(dbt.escape_single_quotes(value | string)) }} as {{ types.get(column, dbt.type_string()) }})
        {%- endif %} as {{ column }}
        {{- "," if not loop.last }}
        {%- endfor %}
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
{%- endmacro %}
