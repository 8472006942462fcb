{#- Rows of documents for a unit test, from dicts of the columns that matter to it; the others are empty. `more` names columns
    beside the contract's. -#}
{% macro documents_for_test(rows, more) -%}
    {%- set types = {
        'valid_from': 'date', 'valid_to': 'date', 'version_date': 'date', 'review_by': 'date',
        'source_updated_at': headrace.type_timestamp() | trim, 'is_deleted': dbt.type_boolean(),
    } -%}
    {%- set values = {
        'title': '', 'body': '', 'payload': '{}', 'source_name': '', 'doc_type': '',
        'is_deleted': 'false', 'source_updated_at': '2026-01-01 00:00:00+00',
    } -%}
    {%- set columns = headrace.document_columns() + more -%}
    {%- for row in rows %}
    select
        {%- for column in columns %}
        {% if column == 'access' -%}
        {{ headrace.literal_array(['everyone']) }} as access
        {%- elif column in row or column in values -%}
        cast('{{ row.get(column, values.get(column)) }}' as {{ types.get(column, dbt.type_string()) }}) as {{ column }}
        {%- else -%}
        cast(null as {{ types.get(column, dbt.type_string()) }}) as {{ column }}
        {%- endif %}
        {{- "," if not loop.last }}
        {%- endfor %}
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
{%- endmacro %}
