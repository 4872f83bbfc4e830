"""The nouns of LLM serving: request, replica, hardware, model, objective, view, action. Values only; nothing here acts."""
