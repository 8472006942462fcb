{#- A title or path as words in small letters, each between spaces; what is no letter or digit parts words. -#}
{% macro version_words(expression) -%}
    concat(' ', lower({{ headrace.replace_matches(
        expression, '[\\x01-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7f]+', ' ') }}), ' ')
{%- endmacro %}

{#- Whether words say which version they name: a year, or a number after v, version, revision, rev or edition. -#}
{% macro names_version(words) -%}
    {{ headrace.matches(words, ' (19|20)[0-9][0-9] | v[0-9]+ | (version|revision|rev|edition) [0-9]+ ') }}
{%- endmacro %}

{#- The words without the version; versions of one document have these in common. -#}
{% macro version_stem(words) -%}
    {%- set rest = namespace(expression=words) -%}
    {%- for pattern in [
        ' (19|20)[0-9][0-9]( [0-9][0-9])?( [0-9][0-9])? ', ' v[0-9]+( [0-9]+)* ',
        ' (version|revision|rev|edition) [0-9]+( [0-9]+)* ', '  +',
    ] -%}
        {%- set rest.expression = headrace.replace_matches(rest.expression, pattern, ' ') -%}
    {%- endfor -%}
    {{ headrace.trimmed(rest.expression) }}
{%- endmacro %}

{#- The version that words name, as text that sorts: eight digits of the last year, month and day; below all of those,
    0 and the number; null where they name none. -#}
{% macro version_key(words) -%}
    {%- set number = '^.* (v|version |revision |rev |edition )([0-9]+)( ([0-9]+))? .*$' -%}
    case
        when {{ headrace.matches(words, ' (19|20)[0-9][0-9] ') }}
            then rpad({{ headrace.replace_matches(
                words, '^.* ((19|20)[0-9][0-9])( ([0-9][0-9]))?( ([0-9][0-9]))? .*$', '\\1\\4\\6') }}, 8, '0')
        when {{ headrace.names_version(words) }}
            then concat(
                '0',
                lpad({{ headrace.replace_matches(words, number, '\\2') }}, 5, '0'),
                lpad({{ headrace.replace_matches(words, number, '\\4') }}, 5, '0')
            )
    end
{%- endmacro %}
