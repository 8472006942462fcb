{{ headrace.date_series('2022-01-01', '2028-12-31') }}
