{#- The document contract, in order: what every model named in `headrace_document_models` selects. -#}
{% macro document_columns() -%}
    {{ return([
        'document_id', 'source_name', 'doc_type', 'title', 'body', 'url', 'owner', 'language', 'valid_from',
        'valid_to', 'version_family', 'version_date', 'review_by', 'access', 'payload', 'source_updated_at',
        'is_deleted',
    ]) }}
{%- endmacro %}

{#- Everything of a document but the time of its last change: two rows with the same hash are the same document. -#}
{% macro document_hash(row) -%}
    {%- set parts = [] -%}
    {%- for column in headrace.document_columns() if column not in ['document_id', 'source_updated_at', 'is_deleted'] -%}
        {%- set value = row ~ '.' ~ column -%}
        {%- if column == 'access' -%}
            {%- do parts.append(headrace.array_in_full(value)) -%}
        {%- elif column in ['valid_from', 'valid_to', 'version_date', 'review_by'] -%}
            {%- do parts.append("coalesce(" ~ headrace.date_text(value) ~ ", '')") -%}
        {%- else -%}
            {%- do parts.append("coalesce(" ~ value ~ ", '')") -%}
        {%- endif -%}
    {%- endfor -%}
    {{ headrace.hash(headrace.joined(parts)) }}
{%- endmacro %}

{#- Texts joined by a character that normalised text cannot hold, so that no two lists of values join alike. -#}
{% macro joined(expressions) -%}
    concat({{ expressions | join(', ' ~ headrace.character(31) ~ ', ') }})
{%- endmacro %}

{#- A number from 0 to 4095 that a document keeps: 12 bits of the hash of its id. BigQuery's tables are parted by it. -#}
{% macro document_bucket(document_id) -%}
    {%- set digits = headrace.hash(document_id) -%}
    cast(
        (strpos('0123456789abcdef', substr({{ digits }}, 1, 1)) - 1) * 256
        + (strpos('0123456789abcdef', substr({{ digits }}, 2, 1)) - 1) * 16
        + (strpos('0123456789abcdef', substr({{ digits }}, 3, 1)) - 1)
        as {{ dbt.type_int() }}
    )
{%- endmacro %}

{#- The columns of the document contract, and `more` columns of text beside them, of a row of nulls with their types. -#}
{% macro no_document(more=[]) %}
    {%- set types = {
        'valid_from': 'date', 'valid_to': 'date', 'version_date': 'date', 'review_by': 'date',
        'access': headrace.type_text_array() | trim, 'source_updated_at': headrace.type_timestamp() | trim,
        'is_deleted': dbt.type_boolean(),
    } -%}
    {%- for column in headrace.document_columns() + more %}
        cast(null as {{ types.get(column, dbt.type_string()) }}) as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
{% endmacro %}
