"""The chat templates that models are trained with, in Go's language. Which one a model needs is found by rendering them.

Every one is compared with the model's own template before it is used: see chatform. There is no begin-of-text token in
them, since the runner adds it.
"""

TEMPLATES = {
    "ChatML": """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
""",
    "Llama 3": """{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>

""",
    "Llama 2": """{{- range $i, $m := .Messages }}
{{- if eq .Role "user" }}[INST] {{ if and $.System (eq $i 1) }}<<SYS>>
{{ $.System }}
<</SYS>>

{{ end }}{{ .Content }} [/INST]
{{- else if eq .Role "assistant" }} {{ .Content }} </s><s>{{ end }}
{{- end }}""",
    "Mistral 0.1": """{{- range .Messages }}
{{- if eq .Role "user" }}[INST] {{ .Content }} [/INST]
{{- else if eq .Role "assistant" }}{{ .Content }}</s>{{ end }}
{{- end }}""",
    "Mistral 0.1, with a space": """{{- range .Messages }}
{{- if eq .Role "user" }}[INST] {{ .Content }} [/INST]
{{- else if eq .Role "assistant" }}{{ .Content }}</s> {{ end }}
{{- end }}""",
    "Mistral 0.2": """{{- range $i, $m := .Messages }}
{{- if eq .Role "user" }} [INST] {{ if and $.System (eq $i 1) }}{{ $.System }}

{{ end }}{{ .Content }} [/INST]
{{- else if eq .Role "assistant" }} {{ .Content }}</s>{{ end }}
{{- end }}""",
    "Mistral 0.3": """{{- range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}[INST] {{ if and $.System $last }}{{ $.System }}

{{ end }}{{ .Content }}[/INST]
{{- else if eq .Role "assistant" }} {{ .Content }}</s>{{ end }}
{{- end }}""",
}
