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
            {%- do parts.append(headrace.array_to_text(value)) -%}
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
