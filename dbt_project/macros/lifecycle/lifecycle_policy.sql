{#-
    The lifecycle policies of var `headrace_lifecycle`, checked, each with every key. The first one whose source_name and
    doc_type are a document's, or are left out, is the document's.
-#}
{% macro lifecycle_policies() -%}
    {%- set defaults = {
        'source_name': none, 'doc_type': none, 'max_age_days': none, 'review_days': none, 'needs_owner': false,
        'when_stale': 'keep', 'when_superseded': 'drop', 'find_versions': [], 'find_conflicts': true,
    } -%}
    {%- set choices = {'when_stale': ['keep', 'demote', 'drop'], 'when_superseded': ['demote', 'drop']} -%}
    {%- set policies = [] -%}
    {%- for given in var('headrace_lifecycle', []) + [{}] -%}
        {%- set place = 'headrace_lifecycle, entry ' ~ loop.index -%}
        {%- for key, value in given.items() -%}
            {%- if key not in defaults -%}
                {{ exceptions.raise_compiler_error(
                    place ~ ": there is no " ~ key ~ "; an entry has " ~ defaults.keys() | join(', ') ~ ".") }}
            {%- elif key in choices and value not in choices[key] -%}
                {{ exceptions.raise_compiler_error(
                    place ~ ": " ~ key ~ " is " ~ value ~ "; give one of " ~ choices[key] | join(', ') ~ ".") }}
            {%- elif key in ['max_age_days', 'review_days'] and not (value is integer and value > 0) -%}
                {{ exceptions.raise_compiler_error(place ~ ": " ~ key ~ " is " ~ value ~ "; give a number of days.") }}
            {%- elif key == 'find_versions' and value | reject('in', ['title', 'path']) | list -%}
                {{ exceptions.raise_compiler_error(
                    place ~ ": find_versions is " ~ value ~ "; give a list of title, path or both.") }}
            {%- endif -%}
        {%- endfor -%}
        {%- set policy = {} -%}
        {%- for key, value in defaults.items() -%}
            {%- do policy.update({key: given.get(key, value)}) -%}
        {%- endfor -%}
        {%- do policies.append(policy) -%}
    {%- endfor -%}
    {{ return(policies) }}
{%- endmacro %}

{#- A setting of the policy of each row, which has source_name and doc_type: an integer, a boolean or a text. For
    find_versions, whether `choice` is in the list. -#}
{% macro lifecycle_setting(key, choice=none) -%}
    {%- set policies = headrace.lifecycle_policies() -%}
    case
        {%- for policy in policies %}
        {%- set conditions = [] -%}
        {%- for column in ['source_name', 'doc_type'] if policy[column] is not none -%}
            {%- do conditions.append(
                column ~ " = " ~ dbt.string_literal(dbt.escape_single_quotes(policy[column]))) -%}
        {%- endfor %}
        when {{ conditions | join(' and ') or 'true' }} then
            {%- if choice is not none %} {{ (choice in policy[key]) | lower }}
            {%- elif policy[key] is none %} cast(null as {{ dbt.type_int() }})
            {%- elif policy[key] is string %} {{ dbt.string_literal(policy[key]) }}
            {%- else %} {{ policy[key] | lower }}
            {%- endif %}
        {%- endfor %}
    end
{%- endmacro %}
