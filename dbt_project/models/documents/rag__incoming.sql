{{ config(materialized='view') }}
{{ headrace.incoming_documents() }}
