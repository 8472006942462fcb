{#- Fails for rows whose array of principals is null or empty. -#}
{% test names_somebody(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ headrace.array_length(column_name) }} = 0
{% endtest %}
