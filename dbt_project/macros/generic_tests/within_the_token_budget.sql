{#- Fails for rows whose token bound is over `headrace_chunk_tokens`. -#}
{% test within_the_token_budget(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} > {{ var('headrace_chunk_tokens') }}
{% endtest %}
