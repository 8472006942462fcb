{#- Empty where nothing was ever ingested: the table is made by the first `headrace ingest`. -#}
{%- set raw = source('headrace_ops', 'raw_documents') -%}
{%- set exists = execute and load_relation(raw) is not none -%}

with raw_documents as (

    {% if exists -%}
    select * from {{ raw }}
    {%- else -%}
    select
        cast(null as {{ dbt.type_string() }}) as document_id,
        cast(null as {{ dbt.type_string() }}) as source_name,
        cast(null as {{ dbt.type_string() }}) as doc_type,
        cast(null as {{ dbt.type_string() }}) as title,
        cast(null as {{ dbt.type_string() }}) as body,
        cast(null as {{ dbt.type_string() }}) as url,
        cast(null as {{ dbt.type_string() }}) as owner,
        cast(null as {{ dbt.type_string() }}) as language,
        cast(null as date) as valid_from,
        cast(null as date) as valid_to,
        cast(null as {{ dbt.type_string() }}) as version_family,
        cast(null as date) as version_date,
        cast(null as date) as review_by,
        {{ headrace.text_array(["'nobody'"]) }} as access,
        cast(null as {{ dbt.type_string() }}) as payload,
        cast(null as {{ headrace.type_timestamp() }}) as source_updated_at,
        cast(null as {{ dbt.type_boolean() }}) as is_deleted
    {%- endif %}

)

select
    {{ headrace.document_columns() | join(',\n    ') }}
from raw_documents
{% if not exists -%} where false {%- endif %}
