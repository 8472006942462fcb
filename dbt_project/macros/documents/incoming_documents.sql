{#- Names of the models that follow the document contract: the package's own, then the project's. -#}
{% macro document_models() -%}
    {{ return(['doc_ingested', 'doc_glossary'] + var('headrace_document_models')) }}
{%- endmacro %}

{#- The relation of a document model. -#}
{% macro document_model(name) -%}
    {{ return(ref(name) if name in ['doc_ingested', 'doc_glossary'] else ref(project_name, name)) }}
{%- endmacro %}

{#-
    A query of the documents of some models, one row a document and model, with defaults for what a model leaves out
    and `refused_because`, the reason why a document is not taken; null where it is.

    `conditions` gives, by the name of a model, the condition for its rows to be read: `true` for all of them. A model
    it does not name is not read; without conditions every model is read whole. All rows of a document_id must be among
    those that are read, since only the one that changed last is taken.
-#}
{% macro incoming_documents(conditions=none) %}
with incoming as (

    {% for model in headrace.document_models() if conditions is none or model in conditions %}
    select
        '{{ model }}' as document_model,
        {{ headrace.document_columns() | join(',\n        ') }}
    from {{ headrace.document_model(model) }}
    {%- if conditions and conditions[model] != 'true' %}
    where {{ conditions[model] }}
    {%- endif %}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

numbered as (

    select
        incoming.*,
        row_number() over (
            partition by incoming.document_id
            -- Warehouses differ in where a null stands: here a document without a date comes last.
            order by
                coalesce(
                    incoming.source_updated_at, cast('0001-01-01 00:00:00+00' as {{ headrace.type_timestamp() }})
                ) desc,
                incoming.document_model asc
        ) as place
    from incoming

)

select
    document_model,
    document_id,
    coalesce(source_name, document_model) as source_name,
    coalesce(doc_type, 'document') as doc_type,
    coalesce(title, '') as title,
    coalesce(body, '') as body,
    url,
    owner,
    language,
    valid_from,
    valid_to,
    version_family,
    version_date,
    review_by,
    access,
    coalesce(payload, '{}') as payload,
    source_updated_at,
    coalesce(is_deleted, false) as is_deleted,
    case
        when coalesce(document_id, '') = '' then 'document_id is empty: give every document a stable one'
        when place > 1 then 'another document has this document_id: only the one that changed last is kept'
        when {{ headrace.array_length('access') }} = 0
            then 'access names nobody: name the principals who may read it, or everyone'
        when coalesce(is_deleted, false) then null
        when not {{ headrace.matches("coalesce(body, '')", '[^\\x01-\\x20\\x7f]') }}
            then 'the body has no text'
    end as refused_because
from numbered
{% endmacro %}
