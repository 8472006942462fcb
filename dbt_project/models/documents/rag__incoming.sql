{{ config(materialized='view') }}
{%- set conditions = {} %}
{%- for model in headrace.document_models() %}
    {%- do conditions.update({model: 'true'}) %}
{%- endfor %}
{{ headrace.incoming_documents(conditions) }}
