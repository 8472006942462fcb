{#-
    How chunks are cut, as a text: the version of `chunk_documents`, the tokens, the overlap. Chunks of another policy
    are cut again, and Headrace builds a new generation of the index for them. Raise the version with every change of
    the macros in this folder, or of the vocabulary, that moves a boundary or changes a header.
-#}
{% macro chunking_policy() -%}
    1-{{ var('headrace_chunk_tokens') }}-{{ var('headrace_chunk_overlap_tokens') }}
{%- endmacro %}
