# Forwards to `cargo xtask <verb>`; settings: DOCS= QUERY= QUICK= HOURS= PREFIX= DESTDIR= ONLY=
# (ONLY names stages: make test ONLY="rust c", make chaos ONLY="fuzz live").
export DOCS QUERY QUICK HOURS PREFIX DESTDIR
VERBS := demo lint bench dist install codegen floors setup

.PHONY: test chaos $(VERBS)
test chaos:
	@cargo xtask $@ $(ONLY)
$(VERBS):
	@cargo xtask $@
