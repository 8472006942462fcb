{#- Fails for ids in a text with bars between that no document has; with `served`, that no reader finds, nor what
    replaced them. -#}
{% test names_documents(model, column_name, served=false) %}
with named as (
    select trim(part.value) as document_id
    from {{ model }} as lists
    {{ headrace.split_rows('lists.' ~ column_name, "'|'") }}
),

documents as (
    select document_id
    from {{ ref('headrace', 'rag__documents') }}
    {% if served %}where serving <> 'none' or superseded_by is not null{% endif %}
)

select distinct named.document_id
from named
left join documents
    on named.document_id = documents.document_id
where named.document_id <> '' and documents.document_id is null
{% endtest %}
