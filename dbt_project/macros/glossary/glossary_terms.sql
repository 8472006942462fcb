{#-
    The terms that the dbt graph defines: metrics, semantic models, and the models and columns with `meta.synonyms`.
    Entries that share a name, a label or a synonym (case, underscores and hyphens apart) are one term.

    Returns a list of dicts: term_id, term, synonyms, definition, kind, metric_name, defined_by.
-#}
{% macro glossary_terms() -%}
    {%- set groups = namespace(all=[]) -%}
    {%- for entry in headrace.glossary_entries() -%}
        {%- set joined = namespace(entries=[entry], keys=entry["keys"], others=[]) -%}
        {%- for group in groups.all -%}
            {%- if group['keys'] | select('in', joined.keys) | list -%}
                {%- set joined.entries = group['entries'] + joined.entries -%}
                {%- set joined.keys = (joined.keys + group['keys']) | unique | list -%}
            {%- else -%}
                {%- do joined.others.append(group) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set groups.all = joined.others + [{'entries': joined.entries, 'keys': joined.keys}] -%}
    {%- endfor -%}
    {%- set terms = [] -%}
    {%- for group in groups.all -%}
        {%- set entries = group['entries'] | sort(attribute='rank,unique_id') -%}
        {%- set main = entries[0] -%}
        {%- set synonyms = [] -%}
        {%- for entry in entries -%}
            {%- for name in [entry.label] + entry.synonyms -%}
                {%- if (name | lower) not in ([main.label | lower] + (synonyms | map('lower') | list)) -%}
                    {%- do synonyms.append(name) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- do terms.append({
            'term_id': main.label | lower | replace(' ', '-'),
            'term': main.label,
            'synonyms': synonyms,
            'definition': entries | map(attribute='description') | select | unique | join(' '),
            'kind': main.kind,
            'metric_name': main.name if main.kind == 'metric' else '',
            'defined_by': entries | map(attribute='unique_id') | unique | list,
        }) -%}
    {%- endfor -%}
    {{ return(terms | sort(attribute='term_id')) }}
{%- endmacro %}

{#- What may define a term, in the order of who speaks first; `keys` are its names in one spelling. -#}
{% macro glossary_entries() -%}
    {%- set entries = [] -%}
    {%- if execute -%}
        {%- for metric in graph.metrics.values() -%}
            {%- do entries.append(headrace.glossary_entry(1, 'metric', metric, metric.unique_id)) -%}
        {%- endfor -%}
        {%- for model in graph.semantic_models.values() -%}
            {%- do entries.append(headrace.glossary_entry(2, 'semantic model', model, model.unique_id)) -%}
        {%- endfor -%}
        {%- for model in graph.nodes.values() if model.resource_type == 'model' -%}
            {%- if headrace.synonyms_of(model) -%}
                {%- do entries.append(headrace.glossary_entry(3, 'model', model, model.unique_id)) -%}
            {%- endif -%}
            {%- for column in model.columns.values() if headrace.synonyms_of(column) -%}
                {%- do entries.append(headrace.glossary_entry(4, 'column', column, model.unique_id ~ '.' ~ column.name)) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(entries) }}
{%- endmacro %}

{% macro glossary_entry(rank, kind, node, unique_id) -%}
    {%- set name = node.name | replace('_', ' ') -%}
    {%- set label = node.label or (name if kind == 'column' else name | title) -%}
    {%- set synonyms = headrace.synonyms_of(node) -%}
    {{ return({
        'rank': rank,
        'kind': kind,
        'name': node.name,
        'label': label,
        'synonyms': synonyms,
        'description': ((node.description or '') | string).split() | join(' '),
        'unique_id': unique_id,
        'keys': ([name, label] + synonyms) | map('lower') | map('replace', '_', ' ') | map('replace', '-', ' ') | unique | list,
    }) }}
{%- endmacro %}

{#- One synonym may be written without a list. -#}
{% macro synonyms_of(node) -%}
    {%- set config = node.config or {} -%}
    {%- set meta = (config.meta if config.meta else none) or node.meta or {} -%}
    {%- set synonyms = meta.get('synonyms') or [] -%}
    {{ return([synonyms] if synonyms is string else synonyms) }}
{%- endmacro %}
