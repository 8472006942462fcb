{#-
    An upper bound of the WordPiece tokens of a text, counted without the tokenizer.

    BERT's tokenizer splits at white space and punctuation, so tokens add up over words. Each punctuation mark is one
    token; a word of ASCII letters and digits is one where the vocabulary (seed headrace_vocabulary) holds it, and at
    most its length where it does not; other scripts are at most one token a character, three where normalisation
    takes a character apart (Hangul, Indic vowels). On English prose the bound is about a fifth above the real count.
-#}

{#- ASCII punctuation and the marks that word processors put in prose: each is a token, and ends a word. -#}
{% macro punctuation() -%} \x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e‘’“”–—…• {%- endmacro %}

{% macro ascii_lower(expression) -%}
    translate({{ expression }}, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
{%- endmacro %}

{% macro count_characters(expression, class) -%}
    (length({{ expression }}) - length({{ headrace.replace_matches(expression, '[' ~ class ~ ']', '') }}))
{%- endmacro %}

{#- Gives `key` and `cost` for every row of `relation`. One column is the key: a planner that must guess how many rows
    a join on several gives, guesses one, and loops. -#}
{% macro token_costs(relation, key, text) %}
    select
        words.{{ key }},
        sum(
            case
                when vocabulary.token is not null then 1
                when words.word = '' then 0
                else length(words.word) + 2 * {{ headrace.count_characters('words.word', 'ऀ-෿가-힣') }}
            end
        ) + max(words.marks) as cost
    from (
        select
            counted.{{ key }},
            {{ headrace.count_characters('counted.' ~ text, headrace.punctuation() | trim) }} as marks,
            part.value as word
        from {{ relation }} as counted
        {{ headrace.split_rows(
            headrace.replace_matches(
                headrace.ascii_lower('counted.' ~ text), '[ \\t\\n' ~ (headrace.punctuation() | trim) ~ ']+', ' '
            ),
            "' '"
        ) }}
    ) as words
    {#- A query around it, since `dbt run --empty` gives a ref an alias of its own. #}
    left join (select token from {{ ref('headrace', 'headrace_vocabulary') }}) as vocabulary
        on words.word = vocabulary.token
    group by words.{{ key }}
{% endmacro %}
