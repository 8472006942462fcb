{{ config(materialized='view') }}
{%- set sets = var('headrace_gold_sets') %}
{%- set lists = ['answers', 'helps', 'facts', 'must_not'] %}

{% for gold_set in sets %}
select
    '{{ gold_set }}' as gold_set,
    cast(question_id as {{ dbt.type_string() }}) as question_id,
    cast(question as {{ dbt.type_string() }}) as question,
    coalesce(cast(doc_type as {{ dbt.type_string() }}), 'document') as doc_type,
    {%- for column in lists %}
    coalesce(cast({{ column }} as {{ dbt.type_string() }}), '') as {{ column }}{{ "," if not loop.last }}
    {%- endfor %}
from {{ ref(project_name, gold_set) }}
{% if not loop.last %}
union all
{% endif %}
{% else %}
select
    cast(null as {{ dbt.type_string() }}) as gold_set,
    cast(null as {{ dbt.type_string() }}) as question_id,
    cast(null as {{ dbt.type_string() }}) as question,
    cast(null as {{ dbt.type_string() }}) as doc_type,
    {%- for column in lists %}
    cast(null as {{ dbt.type_string() }}) as {{ column }}{{ "," if not loop.last }}
    {%- endfor %}
from (select 1 as nothing) as empty
where false
{% endfor %}
