{#-
    A condition that keeps the rows of some documents of a large table, written out so that the warehouse finds them
    without reading the rest: by an index on document_id, on BigQuery by partitions, which only constants choose.
    `documents` has `ids` and their `buckets`; `table` is the table's alias and a dot, if it needs one.
-#}
{% macro among(documents, table='') -%}
    {{ return(adapter.dispatch('among', 'headrace')(documents, table)) }}
{%- endmacro %}

{% macro default__among(documents, table) -%}
    {{ headrace.is_one_of(table ~ 'document_id', documents.ids) }}
{%- endmacro %}

{% macro bigquery__among(documents, table) -%}
    {{ table }}document_bucket in ({{ (documents.buckets or [-1]) | join(', ') }})
    and {{ headrace.is_one_of(table ~ 'document_id', documents.ids) }}
{%- endmacro %}

{% macro is_one_of(column, values) -%}
    {%- if values -%}
        {{ column }} in (
            {%- for value in values %}{{ headrace.text_literal(value) }}{{ ', ' if not loop.last }}{% endfor -%}
        )
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{#- How BigQuery parts tables of documents and chunks: a merge is charged for every partition that it changes, so that a
    document must always be in the same small one. A job may write 4,000 partitions; these are 2,048. -#}
{% macro partitions_of_documents() -%}
    {{ return({
        'field': 'document_bucket', 'data_type': 'int64', 'range': {'start': 0, 'end': 4096, 'interval': 2},
    }) }}
{%- endmacro %}
